"""The contract, subclassed once a backend; tests/kernel runs the modules in guests."""
