"""The AGI protocol as pure functions and values: text and bytes in and out; nothing here opens, reads or waits."""
