"""`demo`: a throwaway origin, a real mirror beside it, and the story that is told of them."""
