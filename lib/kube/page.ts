import type { Readable } from 'node:stream';
import { JsonScanner, ScanError } from '../json/json-scanner.ts';
import { asObject, asText } from '../json/json-access.ts';

export interface PageEnd {
  /** Of the whole list. */
  readonly version: string | undefined;
  /** Token of the next page; empty: this was the last. */
  readonly next: string;
}

/**
 * One page of a list, object by object as its bytes come: a page of 500 pods is 10 MB once it is parsed, which would stay
 * in memory long enough to be taken for something that lasts.
 * @param alive called whenever something came
 * @throws Error when this is no list
 */
export async function readPage(body: Readable, take: (item: unknown) => void, alive: () => void): Promise<PageEnd> {
  let metadata: unknown;
  let ended = false;
  const scanner = new JsonScanner(
    {
      item(value) {
        const object = asObject(value);
        // Some servers say null for an empty list, which is then no list to the scanner.
        if (object !== undefined && object['items'] === null) {
          metadata = object['metadata'];
          ended = true;
        } else take(value);
      },
      document(head) {
        metadata = head.metadata;
        ended = true;
      },
    },
    { metadata: true },
  );
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      alive();
      scanner.write(chunk);
    }
    scanner.end();
  } catch (error) {
    if (error instanceof ScanError) throw new Error(`the answer is no list: ${error.message}`, { cause: error });
    throw error;
  }
  if (!ended) throw new Error('the answer is no list: it has no items');
  const list = asObject(metadata);
  return { version: asText(list?.['resourceVersion']), next: asText(list?.['continue']) ?? '' };
}
