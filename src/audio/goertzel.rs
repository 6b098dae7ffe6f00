//! One frequency's power at a time: finds key tones in audio (ITU-T Q.23, Q.24) and says which tone a test heard.
