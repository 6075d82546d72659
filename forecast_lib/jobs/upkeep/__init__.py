"""What a person asks of a workspace: to overrule a decision, to clear away, to check a past night."""
