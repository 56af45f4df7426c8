const nameHashes = new WeakMap<readonly string[], Uint32Array>();

/** FNV-1a over UTF-16 units. */
export function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

/**
 * Orders equal nodes for one pod: the same for the same pod and node names on every replica and in every call,
 * and unlike for different pods, so that equal nodes share the pods.
 */
export function tieHash(podHash: number, nodeHash: number): number {
  // The finalizer of MurmurHash3: without it FNV's neighbours stay neighbours.
  let hash = podHash ^ Math.imul(nodeHash, 0x9e3779b1);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** hashText of every name, computed once for a table that only grows. */
export function nodeNameHashes(names: readonly string[]): Uint32Array {
  let hashes = nameHashes.get(names);
  if (hashes !== undefined && hashes.length >= names.length) return hashes;
  const known = hashes?.length ?? 0;
  const grown = new Uint32Array(names.length);
  if (hashes !== undefined) grown.set(hashes);
  for (let n = known; n < names.length; n++) grown[n] = hashText(names[n]!);
  hashes = grown;
  nameHashes.set(names, hashes);
  return hashes;
}
