"""Tags from neighbours (Open-Tag): several retrieval systems, one vote, tags that the library grows by."""
