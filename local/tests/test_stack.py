"""What `make run` shows of the bundle in the emulator."""

import stack as local_stack


def test_the_table_shows_the_queue_of_each_channel(stack, capsys):
    channels = local_stack.channels()
    rows = [(channel, 200, '{"op":"success"}', 7) for channel in channels]
    local_stack.show(rows, {channel: {"MessageBody": {}} for channel in list(channels)[:-1]})
    shown = {row[0]: row[4] for row in (line.split() for line in capsys.readouterr().out.splitlines()[1:])}
    urls = {stack.outputs["ErpQueueUrl"]: "ERP", stack.outputs["CrmQueueUrl"]: "CRM"}
    assert shown == {channel: urls[stack.queue(channel)] for channel in channels} | {list(channels)[-1]: "nothing"}
    assert {"ERP", "CRM"} <= set(shown.values())
