"""Where calls come from: the FastAGI server, its threads and sockets, and the process that Asterisk starts."""
