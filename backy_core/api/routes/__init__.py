"""The handlers, one module and one blueprint per noun of the API."""
