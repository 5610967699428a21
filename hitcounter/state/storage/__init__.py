"""Opening, guarding and sharing a database; of the model it touches only how objects load and how errors are worded."""
