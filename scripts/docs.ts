/** `make docs`: writes the generated pages. test/house/docs.test.ts fails while they differ. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { configurationPage, errorsPage } from '../cli/docs.ts';
import { SECTIONS } from '../cli/options/index.ts';

const folder = new URL('../docs/', import.meta.url);
mkdirSync(folder, { recursive: true });
writeFileSync(new URL('configuration.md', folder), configurationPage(SECTIONS));
writeFileSync(new URL('errors.md', folder), errorsPage());
