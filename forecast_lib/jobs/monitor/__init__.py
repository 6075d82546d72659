"""How things stand between runs: ages, missed nights, figures for Prometheus."""
