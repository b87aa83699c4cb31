"""Transfers: plan, workers, journal, proof. See each module for its part of the road."""
