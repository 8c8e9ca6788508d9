"""What happens in a video of the playhouse, who is in it, and what is heard."""
