"""Backs up or restores the streams of a ledger by the API of the NATS server, as `nats stream backup` does."""

import asyncio
import json
import sys

import nats

CHUNK = 64 * 1024


async def answer(connection, subject, request):
    reply = await connection.request(subject, request, timeout=20)
    found = json.loads(reply.data)
    assert "error" not in found, found
    return found


async def backup(connection, stream, path):
    inbox = connection.new_inbox()
    chunks = await connection.subscribe(inbox)
    request = json.dumps({"deliver_subject": inbox, "chunk_size": CHUNK})
    info = await answer(connection, f"$JS.API.STREAM.SNAPSHOT.{stream}", request.encode())
    with open(path, "wb") as out:
        while True:
            chunk = await chunks.next_msg(timeout=20)
            if not chunk.data:
                break
            out.write(chunk.data)
            if chunk.reply:
                await connection.publish(chunk.reply, b"")
    with open(path + ".json", "w") as out:
        json.dump({"config": info["config"], "state": info["state"]}, out)


async def restore(connection, stream, path):
    await answer(connection, f"$JS.API.STREAM.DELETE.{stream}", b"")
    with open(path + ".json", "rb") as info:
        begun = await answer(connection, f"$JS.API.STREAM.RESTORE.{stream}", info.read())
    with open(path, "rb") as data:
        while chunk := data.read(CHUNK):
            await connection.request(begun["deliver_subject"], chunk, timeout=20)
    await answer(connection, begun["deliver_subject"], b"")


async def main(url, action, directory):
    # The shipped configuration lets the user for backups receive nothing else.
    connection = await nats.connect(url, inbox_prefix=b"_INBOX_ledger-backup")
    for stream in ["LEDGER", "LEDGER_ADMIN"]:
        work = {"backup": backup, "restore": restore}[action]
        await work(connection, stream, f"{directory}/{stream}")
    await connection.close()


asyncio.run(main(*sys.argv[1:]))
