"""What `make run` shows of the bundle in the emulator."""

import stack as local_stack


def test_the_table_shows_the_queue_of_each_channel(stack, capsys):
    assert local_stack.demo(stack)
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    queues = {row[0]: row[4] for row in rows if row and row[0] in local_stack.channels()}
    erp = {"sales_order_place_after", "sales_order_save_after", "sales_order_invoice_pay", "sales_order_shipment_save_after"}
    assert {channel for channel, queue in queues.items() if queue == "ERP"} >= erp
    urls = {channel: stack.queue(channel) for channel in local_stack.channels()}
    assert queues == {channel: "ERP" if url == stack.outputs["ErpQueueUrl"] else "CRM" for channel, url in urls.items()}
    assert set(queues.values()) == {"ERP", "CRM"}
