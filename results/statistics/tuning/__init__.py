"""Statistics of tuning: what a budget reaches, how wide good rates are, what choosing again would change."""
