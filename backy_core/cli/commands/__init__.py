"""The commands: a module for each noun, a function for each verb."""
