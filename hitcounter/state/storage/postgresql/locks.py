"""The keys of our advisory locks. RelStorage's have one number, ours have two, so that they never meet."""

#: The first number of each.
LOCKS = 4573

#: Held while the tables are made.
MAKING = 1

#: Held from the first read of a transaction until it is stored: the turn.
TURN = 2

#: Shared by all processes that may change the database; held alone by one that changes all of it.
MEMBERS = 3

#: Held by the server that packs.
PACKING = 4
