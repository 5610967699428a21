"""PostgreSQL through RelStorage, which the extra [postgresql] brings: all that is particular to it is in this room."""
