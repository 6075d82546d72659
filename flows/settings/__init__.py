"""What a run is asked to do: options from the command line, the environment and profile files, made into one
`RunConfig`.
"""
