#!/usr/bin/env python3
"""Speaks the prompts anew: prompts/<language>/manifest.toml -> prompts/<language>/<name>.wav, and the music on hold.

    scripts/prompts.py                 everything
    scripts/prompts.py --missing       only what has no file yet
    scripts/prompts.py --only queue/   only names that begin so

The manifest is the source: its words are what is spoken and what `strowger dialplan try` shows. Every file is
8 kHz, mono, 16 bit, trimmed and levelled to -20 dBFS. Needs espeak-ng and sox; a studio's recordings of the same
words under the same names serve as well.
"""

import argparse
import array
import math
import os
import random
import subprocess
import sys
import tempfile
import tomllib
import wave
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

PROMPTS = Path(__file__).resolve().parent.parent / "prompts"
RATE_HZ = 8000
LEVEL_DBFS = -20.0
# No sample above this, so that nothing is clipped on its way through A-law.
PEAK_DBFS = -3.0
# Silence left before and after the words: single words of a number must follow each other without a gap.
LEAD_S, TAIL_S = 0.02, 0.06


def speak(words, voice, pace, path):
    """Has espeak-ng speak, sox cut the silence and bring it to the telephone's band, and writes it levelled."""
    with tempfile.TemporaryDirectory() as folder:
        raw, cut = f"{folder}/raw.wav", f"{folder}/cut.wav"
        subprocess.run(["espeak-ng", "-v", voice, "-s", str(pace), "-w", raw, words], check=True)
        trim = ["silence", "1", "0.01", "0.5%", "reverse"] * 2
        band = ["highpass", "120", "lowpass", "3600", "rate", "-h", str(RATE_HZ)]
        subprocess.run(["sox", "-D", raw, "-b", "16", "-c", "1", cut, *band, *trim], check=True)
        samples = read(cut)
    edge = [0] * int(RATE_HZ * LEAD_S), [0] * int(RATE_HZ * TAIL_S)
    write(path, edge[0] + levelled(faded(samples), LEVEL_DBFS) + edge[1])


def read(path):
    with wave.open(path, "rb") as sound:
        samples = array.array("h", sound.readframes(sound.getnframes()))
    if not samples:
        sys.exit(f"{path}: nothing was spoken")
    return list(samples)


def faded(samples, span_s=0.004):
    """A few milliseconds in and out, so that no joint of two words clicks."""
    span = min(int(RATE_HZ * span_s), len(samples) // 2)
    out = list(samples)
    for at in range(span):
        out[at] *= at / span
        out[-1 - at] *= at / span
    return out


def levelled(samples, level_dbfs):
    """Scales to a level (RMS over what is not silence) without going beyond the peak."""
    loud = [s for s in samples if abs(s) > 150] or [1]
    rms = math.sqrt(sum(s * s for s in loud) / len(loud))
    peak = max(abs(s) for s in samples) or 1
    gain = min(32768 * 10 ** (level_dbfs / 20) / rms, 32768 * 10 ** (PEAK_DBFS / 20) / peak)
    return [round(s * gain) for s in samples]


def write(path, samples):
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(RATE_HZ)
        sound.writeframes(array.array("h", samples).tobytes())


# -- music on hold -----------------------------------------------------------------------------------------------------

BEAT_S = 0.75
# A chord a bar of four beats, as MIDI notes: bass, then the three above. G major, turning home at the end.
CHORDS = [
    (43, (59, 62, 67)),  # G
    (40, (59, 64, 67)),  # Em
    (48, (60, 64, 67)),  # C
    (50, (57, 62, 66)),  # D
    (43, (59, 62, 67)),  # G
    (47, (59, 62, 66)),  # Bm
    (48, (60, 64, 69)),  # Am over C
    (50, (57, 60, 66)),  # D7
]
# The tune: note and length in beats; 0 is a rest.
TUNE = [
    (74, 1), (71, 1), (67, 1.5), (69, 0.5),
    (71, 2), (76, 1), (74, 1),
    (72, 1), (76, 1), (79, 1.5), (78, 0.5),
    (74, 3), (0, 1),
    (71, 1), (74, 1), (79, 1.5), (76, 0.5),
    (78, 2), (74, 1), (71, 1),
    (72, 1), (76, 0.5), (74, 0.5), (72, 1), (69, 1),
    (66, 1), (69, 1), (72, 2),
]


def tone(midi, span_s, loudness, decay_s):
    """A struck string: few partials, each fading faster than the one below."""
    hz = 440 * 2 ** ((midi - 69) / 12)
    partials = [(n, 1 / n**1.6) for n in range(1, 6) if hz * n < 3400]
    out = []
    for at in range(int(RATE_HZ * span_s)):
        t = at / RATE_HZ
        attack = min(1.0, t / 0.008)
        value = sum(w * math.exp(-t * n**0.7 / decay_s) * math.sin(2 * math.pi * hz * n * t) for n, w in partials)
        out.append(value * attack * loudness)
    return out


def music():
    """Eight bars for a music box: bass, broken chords, a tune, mixed into a loop without a seam."""
    length = int(len(CHORDS) * 4 * BEAT_S * RATE_HZ)
    mix = [0.0] * length
    touch = random.Random(1891)  # The year of Strowger's patent; the same music every time.

    def strike(midi, beat, span_s, loudness, decay_s):
        start = int(beat * BEAT_S * RATE_HZ)
        for at, value in enumerate(tone(midi, span_s, loudness * touch.uniform(0.92, 1.0), decay_s)):
            mix[(start + at) % length] += value

    for bar, (bass, notes) in enumerate(CHORDS):
        strike(bass, bar * 4, 3.0, 0.55, 1.4)
        strike(bass + 12, bar * 4 + 2, 1.6, 0.3, 0.9)
        for eighth, note in enumerate([0, 1, 2, 1, 0, 1, 2, 1]):
            strike(notes[note], bar * 4 + eighth / 2, 1.2, 0.22, 0.55)
    beat = 0
    for midi, beats in TUNE:
        if midi:
            strike(midi, beat, beats * BEAT_S + 0.6, 0.5, 0.8)
        beat += beats
    return levelled([value * 8000 for value in mix], -24.0)


# -- the command -------------------------------------------------------------------------------------------------------


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--missing", action="store_true", help="only what has no file yet")
    options.add_argument("--only", default="", metavar="PREFIX", help="only names that begin so")
    options = options.parse_args()
    wanted = lambda name, path: name.startswith(options.only) and not (options.missing and path.exists())

    jobs = []
    for manifest in sorted(PROMPTS.glob("*/manifest.toml")):
        said = tomllib.loads(manifest.read_text(encoding="utf-8"))
        for name, words in said["prompts"].items():
            path = manifest.parent / f"{name}.wav"
            if wanted(name, path):
                jobs.append((words, said["voice"], said["pace"], path))
        kept = {manifest.parent / f"{name}.wav" for name in said["prompts"]}
        for stray in sorted(set(manifest.parent.rglob("*.wav")) - kept):
            print(f"{stray.relative_to(PROMPTS)} has no words in the manifest")

    done = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(lambda job: speak(*job), jobs):
            done += 1
            print(f"\rprompts {done}/{len(jobs)}", end="", flush=True)
    print()
    melody = PROMPTS / "music" / "music.wav"
    if wanted("music", melody):
        write(melody, music())
        print(f"music {melody.relative_to(PROMPTS)}")
    size = sum(path.stat().st_size for path in PROMPTS.rglob("*.wav"))
    print(f"{size / 1e6:.1f} MB in all")


if __name__ == "__main__":
    main()
