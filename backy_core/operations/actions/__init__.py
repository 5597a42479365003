"""The actions of a plan, bound to nodes: the text of each, and its doing."""
