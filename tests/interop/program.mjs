// What the programs of this folder have in common: one JSON document in, one out, and never a token in what goes out.

import { json } from 'node:stream/consumers';

// Errors of these libraries carry whole answers and claims as their cause, so only what is constant in them is told.
function describe({ name, code, claim, error, status, message }) {
  return { name, code, claim, error, status, message };
}

export async function answer(work) {
  const question = await json(process.stdin);
  const outcome = await work(question).then(
    (accepted) => ({ accepted }),
    (refused) => ({ refused: describe(refused) }),
  );
  process.stdout.write(JSON.stringify(outcome));
}
