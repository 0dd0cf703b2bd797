"""Pages for people: rendered here, live by `/status/events`, whole without JavaScript. One module a page."""
