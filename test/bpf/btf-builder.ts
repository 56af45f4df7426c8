/** Assembles raw BTF as a compiler would write it, for tests without one. */
export class BtfBuilder {
  readonly #types: Buffer[] = [];
  #strings = '\0';
  #count = 0;

  int(name: string, size: number, signed = false): number {
    return this.#add(name, 1, 0, size, [((signed ? 1 : 0) << 24) | (size * 8)]);
  }

  pointer(to: number): number {
    return this.#add('', 2, 0, to, []);
  }

  array(of: number, length: number): number {
    return this.#add('', 3, 0, 0, [of, of, length]);
  }

  /** `bits` makes the whole struct one with bit fields, as the kind flag does. */
  struct(name: string, size: number, members: { name: string; type: number; bit: number; bits?: number }[]): number {
    const flagged = members.some(({ bits }) => bits !== undefined);
    const words = members.flatMap(({ name: member, type, bit, bits }) => [
      this.#string(member),
      type,
      flagged ? (((bits ?? 0) << 24) | bit) >>> 0 : bit,
    ]);
    return this.#add(name, 4, members.length, size, words, flagged);
  }

  typedef(name: string, to: number): number {
    return this.#add(name, 8, 0, to, []);
  }

  raw(kind: number, sizeOrType: number, words: number[] = []): number {
    return this.#add('', kind, 0, sizeOrType, words);
  }

  build(): Buffer {
    const types = Buffer.concat(this.#types);
    const strings = Buffer.from(this.#strings, 'latin1');
    const header = Buffer.alloc(24);
    header.writeUInt16LE(0xeb9f, 0);
    header.writeUInt8(1, 2);
    header.writeUInt32LE(24, 4);
    header.writeUInt32LE(0, 8);
    header.writeUInt32LE(types.length, 12);
    header.writeUInt32LE(types.length, 16);
    header.writeUInt32LE(strings.length, 20);
    return Buffer.concat([header, types, strings]);
  }

  #string(text: string): number {
    if (text === '') return 0;
    const offset = this.#strings.length;
    this.#strings += `${text}\0`;
    return offset;
  }

  #add(name: string, kind: number, count: number, sizeOrType: number, words: number[], flag = false): number {
    const nameOffset = this.#string(name);
    const info = (((flag ? 1 : 0) << 31) | (kind << 24) | count) >>> 0;
    const all = [nameOffset, info, sizeOrType, ...words];
    const bytes = Buffer.alloc(all.length * 4);
    all.forEach((word, index) => bytes.writeUInt32LE(word >>> 0, index * 4));
    this.#types.push(bytes);
    return ++this.#count;
  }
}
