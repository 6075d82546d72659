"""The parts of the pages: each is a module with its value and its builder, and a template of the same name
beside it.
"""
