"""What is registered: pure values and rules. No I/O, no clock, no asyncio."""
