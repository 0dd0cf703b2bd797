"""Files of people: those that they have already, taken in; and archives where Keras looks for them."""
