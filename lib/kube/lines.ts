import type { Readable } from 'node:stream';

const NEWLINE = 10;

/**
 * The lines of a stream of bytes, without their ends, those of one chunk at a time; an unfinished last line is left out.
 * @throws Error when a line is longer than maxBytes
 */
export async function* lines(stream: Readable, maxBytes: number): AsyncGenerator<string[]> {
  let open: Buffer[] = [];
  let openBytes = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    const found: string[] = [];
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      const tail = chunk.subarray(start, end);
      const line = openBytes === 0 ? tail : Buffer.concat([...open, tail]);
      if (line.length > 0) found.push(line.toString('utf8'));
      open = [];
      openBytes = 0;
      start = end + 1;
    }
    if (start < chunk.length) {
      open.push(chunk.subarray(start));
      openBytes += chunk.length - start;
    }
    if (openBytes > maxBytes) throw new Error(`a line is longer than ${maxBytes} bytes`);
    yield found;
  }
}
