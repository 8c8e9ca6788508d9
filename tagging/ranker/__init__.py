"""Recall and ranking: several ways to candidate tags, then one model that orders them by fit."""
