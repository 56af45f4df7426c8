import { createHash } from 'node:crypto';

/** Numbers that depend on nothing but the seed. */
export interface Random {
  /** A whole number, 0 .. below-1; below at most 2^32. */
  below(below: number): number;
  /** 0 <= x < 1, in steps of 2^-32. */
  unit(): number;
}

/** Seed i is the first 8 bytes of SHA-256("netloom/i"): neighbours have nothing in common (placement-study.md §1). */
export function seedWords(i: number): readonly [number, number] {
  const digest = createHash('sha256')
    .update(`netloom/${String(i)}`)
    .digest();
  return [digest.readUInt32BE(0), digest.readUInt32BE(4)];
}

/**
 * xoshiro128** (Blackman, Vigna 2018), its state filled by splitmix32. @param stream tells apart streams of one seed
 */
export function randomOf([high, low]: readonly [number, number], stream: number): Random {
  let fill = (high ^ Math.imul(stream + 1, 0x9e3779b9)) >>> 0;
  const next32 = (): number => {
    fill = (fill + 0x9e3779b9) >>> 0;
    let z = fill;
    z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
    z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
    return (z ^ (z >>> 16)) >>> 0;
  };
  let s0 = next32();
  let s1 = (next32() ^ low) >>> 0;
  let s2 = next32();
  let s3 = (next32() | 1) >>> 0;
  const rotl = (x: number, k: number): number => (x << k) | (x >>> (32 - k));
  const next = (): number => {
    const result = Math.imul(rotl(Math.imul(s1, 5), 7), 9) >>> 0;
    const t = s1 << 9;
    s2 ^= s0;
    s3 ^= s1;
    s1 ^= s2;
    s0 ^= s3;
    s2 ^= t;
    s3 = rotl(s3, 11);
    return result;
  };
  for (let i = 0; i < 16; i++) next();
  return {
    below: (below) => Math.floor((next() * below) / 2 ** 32),
    unit: () => next() / 2 ** 32,
  };
}
