"""Reports: renderings of one result model, none of which computes a verdict."""
