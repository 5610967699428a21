"""Running functions on an open database and committing what they change; opens no storage and knows no component."""
