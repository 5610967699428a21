"""Lines by name, their rounds, and the rules by which a round is decided: "you are caller 65, caller 100 wins"."""
