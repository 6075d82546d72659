"""The network variants, one file each; a file's name is its variant's."""
