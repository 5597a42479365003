"""The JSON of the wire as models: what is accepted, what is answered, field by field."""
