"""Where weights come from: fetched, checked, converted, bundled."""
