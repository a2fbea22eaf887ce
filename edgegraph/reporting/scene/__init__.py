"""The compiled graph as nested boxes with places: what the page's graph draws."""
