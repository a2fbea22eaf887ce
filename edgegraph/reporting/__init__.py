"""From an Analysis to what a person looks at: tables, plots, the page."""
