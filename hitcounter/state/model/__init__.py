"""Components, what their methods may return, and whose code an error comes from; opens no storage, starts no thread."""
