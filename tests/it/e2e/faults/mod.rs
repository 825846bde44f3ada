//! What a hub does when its surroundings fail: the disk is full, the database locked, the clock
//! jumps, too many ask at once, clients are slow, bodies are too large. It refuses by name and says
//! when to come back, nobody else suffers, nothing acknowledged is lost, and it recovers by itself.

mod bodies;
mod clock;
mod disk;
mod locked;
mod overload;
mod slow;
mod stage;
