"""Long runs that measure the SDK or try to break it; none of them is part of the tests."""
