"""What readers get: the published file, and questions to it."""
