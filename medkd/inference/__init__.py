"""From a network and images to answers: classes, masks, lesions."""
