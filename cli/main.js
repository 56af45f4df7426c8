// Plain JavaScript, as compile-cache.js: what runs before the cache is on is stripped of types at every start, and the
// stripper alone costs an agent 12 MB for good. Only this is imported statically.
import { enableCompileCache } from './compile-cache.js';

enableCompileCache();
const { runProcess } = await import('./process.ts');
await runProcess();
