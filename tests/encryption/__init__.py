"""What is encrypted on the client's side: nothing wrong is read, and no key is used twice."""
