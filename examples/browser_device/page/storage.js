// What this browser keeps: one record with its key pair and, once enrolled, the name that it was given.
//
// A CryptoKey that is not extractable can be stored in IndexedDB and nowhere else. The browser keeps the key itself and
// hands out no more than leave to use it.

const DATABASE = "authserver-device";
const STORE = "device";
const RECORD = "this browser";

/** The record, or undefined. */
export function load() {
  return transact("readonly", (store) => store.get(RECORD));
}

/** Keep a record in the place of the one that is there. */
export function save(record) {
  return transact("readwrite", (store) => store.put(record, RECORD));
}

/** Forget the record, and with it the key. */
export function forget() {
  return transact("readwrite", (store) => store.delete(RECORD));
}

function open() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(DATABASE, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

async function transact(mode, work) {
  const database = await open();
  try {
    return await new Promise((resolve, reject) => {
      // Strict: a key that the server has heard of must not be lost to a power failure.
      const transaction = database.transaction(STORE, mode, { durability: "strict" });
      const request = work(transaction.objectStore(STORE));
      transaction.oncomplete = () => resolve(request.result);
      transaction.onabort = () => reject(transaction.error);
    });
  } finally {
    database.close();
  }
}
