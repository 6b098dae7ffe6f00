//! WAV files, and the one file that knows `hound`: prompts in, stereo recordings out, and the repair of a cut one.
