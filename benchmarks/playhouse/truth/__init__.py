"""What is known of a rendered video: tags with times, captions, titles, user tags."""
