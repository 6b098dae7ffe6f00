//! Packet loss concealment for G.711: repeats the last pitch period, fading (after the idea of ITU-T G.711 Appendix I).
