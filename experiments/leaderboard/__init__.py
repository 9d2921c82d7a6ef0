"""The lowest test error on CIFAR-10 that nets of AlexNet's family reach in 30 minutes on two cores."""
